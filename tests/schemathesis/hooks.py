"""What Schemathesis makes up is changed where a relay that is right would look wrong."""

import schemathesis

# A channel that is asked for again has to be there still, and these last longer than a run.
TIMEOUT_MS_MIN = 10 * 60 * 1000


@schemathesis.hook
def map_body(context, body):
    """Channels that are asked for with a short timeout get a long one."""
    timeout = body.get("timeout") if isinstance(body, dict) else None
    if isinstance(timeout, int | float) and not isinstance(timeout, bool) and 0 < timeout < TIMEOUT_MS_MIN:
        return body | {"timeout": TIMEOUT_MS_MIN}
    return body
