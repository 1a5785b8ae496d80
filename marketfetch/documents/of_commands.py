"""Which document each command prints with --json: docs/json.md and its schemas are made of this list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marketfetch.documents.archive_documents import ArchivedMonths, ReplayedReplies
from marketfetch.documents.check_document import CheckFindings
from marketfetch.documents.command_problem import CommandProblem
from marketfetch.documents.data_documents import (
    Comparisons,
    DoctorFindings,
    FilesOfExport,
    FoundSymbols,
    ShownRecords,
    ShownSeries,
    ShownUniverse,
)
from marketfetch.documents.job_documents import FedJob, FedJobs, ForecastOfJob, JobList, SubmittedJob
from marketfetch.documents.key_documents import Quotas, QuotasHealth
from marketfetch.documents.message_documents import DeadMessages, DeadMessageText
from marketfetch.documents.reject_documents import Rejects
from marketfetch.documents.schedule_documents import Schedules
from marketfetch.documents.series_documents import FreshnessOfSeries, Gaps
from marketfetch.documents.setting_documents import ChangeDocument, ChangesDocument, NewMasterKey, SealedAnew, SettingsDocument
from marketfetch.documents.token_documents import ListedToken, ListedTokens, NewToken
from marketfetch.documents.vendor_documents import Datasets, Vendors
from marketfetch.jobs.job_values import JobStatus
from marketfetch.jobs.lane_purge import PurgedLane
from marketfetch.ops.retention import Purged
from marketfetch.ops.saved_replies import SavedReply

#: What every command prints where it fails.
FAILED = CommandProblem
#: By the words of the command, and the options with which it prints another document.
DOCUMENTS: Mapping[str, type[Any]] = {
    "fetch": SubmittedJob,
    "fetch --wait": JobStatus,
    "fetch --dry-run": ForecastOfJob,
    "plan": ForecastOfJob,
    "update": SubmittedJob,
    "update --wait": JobStatus,
    "search": FoundSymbols,
    "vendors": Vendors,
    "datasets": Datasets,
    "status": JobList,
    "status JOB": JobStatus,
    "status --freshness": FreshnessOfSeries,
    "watch": JobList,
    "watch JOB": JobStatus,
    "show SYMBOL": ShownSeries,
    "show @UNIVERSE": ShownUniverse,
    "show --dataset DATASET": ShownRecords,
    "export": FilesOfExport,
    "cancel": JobStatus,
    "resume": FedJobs,
    "retry": FedJob,
    "quotas": Quotas,
    "quotas health": QuotasHealth,
    "quotas pause": Quotas,
    "quotas resume": Quotas,
    "dead": DeadMessages,
    "dead show": DeadMessageText,
    "dead retry": DeadMessages,
    "dead drop": DeadMessages,
    "rejects": Rejects,
    "doctor": DoctorFindings,
    "compare": Comparisons,
    "replay": ReplayedReplies,
    "read": SavedReply,
    "gaps": Gaps,
    "schedule list": Schedules,
    "schedule next": Schedules,
    "schedule run": SubmittedJob,
    "schedule pause": Schedules,
    "schedule resume": Schedules,
    "check": CheckFindings,
    "purge --older-than": Purged,
    "purge --parked": PurgedLane,
    "archive show": ArchivedMonths,
    "archive purge": ArchivedMonths,
    "set NAME VALUE": ChangeDocument,
    "set --list": SettingsDocument,
    "set --history": ChangesDocument,
    "set --new-master-key": NewMasterKey,
    "set --rotate-master-key": SealedAnew,
    "token create": NewToken,
    "token list": ListedTokens,
    "token revoke": ListedToken,
}
