{{/* What every pod has in common. Each is given a dict of `root` (the chart) and `part` (worker-all, beat, serve, flower). */}}

{{- define "marketfetch.labels" -}}
app.kubernetes.io/name: marketfetch
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "marketfetch.metadata" -}}
name: {{ .root.Release.Name }}-{{ .part }}
labels:
  {{- include "marketfetch.labels" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{- define "marketfetch.podMetadata" -}}
labels:
  {{- include "marketfetch.labels" . | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  # A change of the settings starts the pods anew; one of the Secret does not: kubectl rollout restart does.
  checksum/settings: {{ include (print .root.Template.BasePath "/settings.yaml") .root | sha256sum }}
{{- end }}

{{- define "marketfetch.podSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .root.Values.terminationGracePeriodSeconds }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: secrets
    secret:
      secretName: {{ .root.Values.existingSecret }}
      defaultMode: 0440
      items:
        {{- range .secrets }}
        - {key: {{ . }}, path: {{ . }}}
        {{- end }}
        {{- if and .root.Values.masterKey (has "database-password" .secrets) }}
        - {key: master-key, path: master-key}
        {{- end }}
  - name: tmp
    emptyDir: {medium: Memory, sizeLimit: 64Mi}
{{- end }}

{{- define "marketfetch.container" -}}
image: {{ .root.Values.image | quote }}
imagePullPolicy: {{ .root.Values.imagePullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
envFrom:
  - configMapRef: {name: {{ .root.Release.Name }}-settings}
volumeMounts:
  - {name: secrets, mountPath: /run/secrets/marketfetch, readOnly: true}
  - {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "marketfetch.database" -}}
- {name: MARKETFETCH_DATABASE_URL, value: {{ .Values.databaseUrl | quote }}}
- {name: MARKETFETCH_DATABASE_PASSWORD_FILE, value: /run/secrets/marketfetch/database-password}
- {name: MARKETFETCH_CONFIG, value: /run/secrets/marketfetch/marketfetch.toml}
{{- if .Values.masterKey }}
- {name: MARKETFETCH_MASTER_KEY_FILE, value: /run/secrets/marketfetch/master-key}
{{- end }}
{{- end }}
