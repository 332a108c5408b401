"""Adapters for code that already has its retries or its breaker: each library's own way to ask, our answers.

| Module | What obeys the target | What stays the library's own |
| --- | --- | --- |
| `botocore` | a boto3 client, at every call site | signing, parsing, redirects |
| `tenacity` | `@retry(**obey(target))`, or single parameters | hooks, statistics, RetryError |
| `stamina` | `@retry(target)`, `retry_context(target)`; `on=`, `attempts=` | instrumentation, test mode |
| `powertools` | thresholds of `@circuit_breaker(config=...)` | its state, its store, its probes |

All of them go through the one `flyball.call`: an adapter translates, it decides
nothing. None is imported by the others or by `flyball`, and each imports its
library when it is first used, so that who has not installed it never notices.

One layer only: a function that is guarded by `target.guard` and whose SDK client
obeys the same target would be counted twice and retried in both.
"""
