-- SPDX-License-Identifier: MIT
-- The result of wrk as one line of JSON, in microseconds and whole numbers: nothing to guess.
function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      'report {"requests": %d, "bytes": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, ' ..
      '"errors": {"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}}\n',
      summary.requests, summary.bytes, summary.duration,
      latency:percentile(50), latency:percentile(99),
      errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
