// Plain HTTP from JavaScript, with a progress bar in the terminal; `fetched` does the same in a browser.
//
//     node client.mjs AAPL MSFT          # beside `marketfetch serve`, or `marketfetch up --web`; node 18 or newer
//
// MARKET_URL and MARKET_TOKEN name another server than this machine's, and a token of `marketfetch token create`. Exits
// with 1 and the server's sentence: 503 while Redis or the database is away, 422 for a wrong wish, 404 for an unknown job.
// A page of another address than the server's needs `marketfetch serve --allow-origin`.

const { randomUUID } = globalThis.crypto ? { randomUUID: () => crypto.randomUUID() } : await import("node:crypto")

export async function ask(url, token, options = {}) {
  const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }), ...options.headers }
  const response = await fetch(url, { ...options, headers })
  const found = await response.json()
  if (!response.ok) throw new Error(`${response.status}: ${found.detail}`)
  return found
}

// Submits a wish and calls `show(status)` until the job is over; returns its last status.
export async function fetched(base, wish, { token = "", show = () => {} } = {}) {
  // With the key, a wish that is sent again after a lost response is the same job.
  const headers = { "Idempotency-Key": randomUUID() }
  const { job } = await ask(`${base}/api/v1/jobs`, token, { method: "POST", headers, body: JSON.stringify(wish) })
  for (;;) {
    const status = await ask(`${base}/api/v1/jobs/${job}`, token)
    show(status)
    if (status.state !== "running") return status
    await new Promise(passed => setTimeout(passed, 500))
  }
}

function draw({ requests, rows }) {
  const over = requests.stored + requests.failed
  const done = requests.total ? Math.floor((30 * over) / requests.total) : 30
  process.stdout.write(`\r[${"#".repeat(done).padEnd(30)}] ${over} of ${requests.total} requests, ${rows} rows`)
}

if (globalThis.process?.argv[1]?.endsWith("client.mjs")) {
  const { MARKET_URL: base = "http://127.0.0.1:8787", MARKET_TOKEN: token = "" } = process.env
  const symbols = process.argv.length > 2 ? process.argv.slice(2) : ["AAPL", "MSFT"]
  const wish = { provider: "polygon", symbols, start: "2024-01-02", end: "2024-01-31" }
  try {
    const last = await fetched(base, wish, { token, show: draw })
    console.log(`: ${last.state}`)
  } catch (error) {
    console.error(error.cause ? `no server at ${base} (${error.cause.code}): run \`marketfetch serve\`.` : error.message)
    process.exitCode = 1
  }
}
