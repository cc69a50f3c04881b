"""The C declarations of the shared hall, written from the record types that define it.

Offsets and sizes are asserted in the text, so a compiler that lays a record out differently stops
instead of reading the wrong bytes.
"""

from typing import Final

import numpy as np

from coolcap_agent.sim.hall_layout import (
    FIRST_TABLE_PLACE,
    HEADER,
    MAGIC,
    TABLE_PLACE,
    TABLES,
    VERSION,
    Fault,
    layout_hash,
)

_C_TYPES: Final = {"<u4": "uint32_t", "<u8": "uint64_t", "<i8": "int64_t", "<f8": "double"}


def _member(name: str, dtype: np.dtype[np.generic]) -> str:
    if dtype.kind == "S":
        return f"char {name}[{dtype.itemsize}];"
    return f"{_C_TYPES[dtype.str]} {name};"


def struct_declaration(name: str, dtype: np.dtype[np.void]) -> str:
    """Return ``struct hall_<name>`` in C, with assertions of its size and offsets.

    Args:
        name: Of the table, in lower case.
        dtype: Its record.
    """
    fields = dtype.fields
    assert fields is not None, "every record is a struct"
    tag = f"struct hall_{name}"
    lines = [f"{tag} {{"]
    lines += [f"    {_member(member, part[0])}" for member, part in fields.items()]
    lines.append("};")
    lines.append(f'_Static_assert(sizeof({tag}) == {dtype.itemsize}, "size of {name}");')
    lines += [
        f'_Static_assert(offsetof({tag}, {member}) == {part[1]}, "place of {name}.{member}");'
        for member, part in fields.items()
    ]
    return "\n".join(lines)


def hall_header() -> str:
    """Return the text of ``hall_layout.h``."""
    tables = list(TABLES)
    parts = [
        "/* Made from coolcap_agent/sim/hall_layout.py, which explains the records. */",
        "#ifndef COOLCAP_HALL_LAYOUT_H\n#define COOLCAP_HALL_LAYOUT_H",
        "#include <stddef.h>\n#include <stdint.h>",
        f'#define HALL_MAGIC "{MAGIC.decode()}"',
        f"#define HALL_VERSION {VERSION}u",
        f"#define HALL_LAYOUT_HASH UINT64_C({layout_hash():#018x})",
        f"#define HALL_FIRST_TABLE_PLACE {FIRST_TABLE_PLACE}u",
        "enum hall_fault {\n"
        + "\n".join(f"    HALL_FAULT_{fault.name} = {fault.value}," for fault in Fault)
        + "\n};",
        "enum hall_table {\n"
        + "\n".join(f"    HALL_TABLE_{name.upper()}," for name in tables)
        + "\n    HALL_TABLE_COUNT\n};",
        struct_declaration("header", HEADER),
        struct_declaration("table_place", TABLE_PLACE),
        *(struct_declaration(name, dtype) for name, dtype in TABLES.items()),
        "#endif",
    ]
    return "\n\n".join(parts) + "\n"
