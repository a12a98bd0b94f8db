"""What the licenses of the encoders mean for a model that was trained on what they gave."""

from __future__ import annotations

from collections.abc import Sequence

from histodecon.models._records import EncoderRecord


def license_notice(records: Sequence[EncoderRecord]) -> str:
    """Write the notice that a model inherits from its encoders.

    Parameters
    ----------
    records
        Encoders in order.

    Returns
    -------
    Two sentences: the licenses, and whether commercial use is permitted.
    """
    names = ", ".join(f"{record.name} ({record.license})" for record in records)
    refused = [record.name for record in records if not record.commercial]
    if not refused:
        use = "Their licenses permit commercial use of what is derived from them"
    elif all(record.license == "unknown" for record in records if not record.commercial):
        use = f"Not known to be permitted: commercial use, for the license of {', '.join(refused)} is not known"
    else:
        use = f"Not for commercial use, which {', '.join(refused)} does not permit for what is derived from it"
    return f"Trained on embeddings of {names}. {use}."
