"""What InfluxDB 1.8, 2.x and 3.x all understand of InfluxQL, as far as dashboards use it.

By InfluxData's list of what InfluxDB 3 supports: no INTEGRAL, SAMPLE, SLIMIT, SOFFSET, no SHOW
SERIES or SHOW DATABASES, no cardinality, no predictive functions. The list of functions here is an
allow-list: a new one is looked up first.
"""

import re
from typing import Final

FUNCTIONS: Final = frozenset(
    {
        "count",
        "first",
        "last",
        "max",
        "mean",
        "min",
        "non_negative_difference",
        "percentile",
        "sum",
    }
)
_CLAUSES: Final = frozenset({"time", "fill", "from", "select"})
_FORBIDDEN: Final = (
    (r"\bSLIMIT\b|\bSOFFSET\b", "InfluxDB 3 has no SLIMIT or SOFFSET"),
    (r"\bINTO\b", "a dashboard writes nothing"),
    (r"\bSHOW\s+(?!TAG\s+VALUES\b)", "only SHOW TAG VALUES is known to all versions"),
    (r"\bCARDINALITY\b", "InfluxDB 3 has no cardinality"),
    (r"\btz\s*\(", "not all InfluxDB 3 editions know time zones"),
    (r"GROUP BY \*", "series would come and go with tags"),
    (r"FROM\s+/", "a regular expression as measurement reads everything"),
    (r"::", "type casts differ between versions"),
    (r";", "one statement per query"),
    (r"--|/\*", "comments"),
)
_TEXT: Final = re.compile(r"\"[^\"]*\"|'[^']*'|=~\s*/(?:\\.|[^/])*/")


def problems(query: str) -> list[str]:
    """Return what in ``query`` some version does not understand."""
    # Names, texts and regular expressions may hold anything.
    code = _TEXT.sub('""', query)
    found = [why for pattern, why in _FORBIDDEN if re.search(pattern, code, re.IGNORECASE)]
    used = {name.lower() for name in re.findall(r"(\w+)\s*\(", code)}
    found += [f"function {name} is not on the list" for name in sorted(used - FUNCTIONS - _CLAUSES)]
    if not re.match(r"(SELECT|SHOW TAG VALUES) ", query):
        found.append("neither SELECT nor SHOW TAG VALUES")
    if code.count("(") != code.count(")"):
        found.append("brackets do not match")
    return found
