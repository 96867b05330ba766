"""Reads every Parquet file of a run folder with DuckDB and with pandas: types by DuckDB, rows and nulls by both. JSON on stdout."""
import json
import pathlib
import sys

import duckdb
import pandas as pd


def table(path: str) -> dict:
    frame = pd.read_parquet(path)
    described = duckdb.sql(f"DESCRIBE FROM '{path}'").fetchall()
    columns = [(row[0], row[1]) for row in described]
    nulls = ", ".join(f'count(*) - count("{name}")' for name, _ in columns)
    sums = [name for name, kind in columns if kind in ("DOUBLE", "INTEGER")]
    total = ", ".join(f'sum("{name}")' for name in sums)
    return {
        "types": dict(columns),
        "rows": {"duckdb": duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall()[0][0], "pandas": len(frame)},
        "nulls": {
            "duckdb": dict(zip([name for name, _ in columns], duckdb.sql(f"SELECT {nulls} FROM '{path}'").fetchall()[0])),
            "pandas": {name: int(frame[name].isna().sum()) for name in frame.columns},
        },
        "sums": {
            "duckdb": dict(zip(sums, duckdb.sql(f"SELECT {total} FROM '{path}'").fetchall()[0])),
            "pandas": {name: None if frame[name].isna().all() else float(frame[name].sum()) for name in sums},
        },
    }


folder = pathlib.Path(sys.argv[1])
result = {path.stem: table(str(path)) for path in sorted(folder.glob("*.parquet"))}
csv = {
    path.stem: duckdb.sql(
        f"SELECT count(*) FROM read_csv('{path}', header = true, all_varchar = true, strict_mode = true, sample_size = -1)"
    ).fetchall()[0][0]
    for path in sorted(folder.glob("*.csv"))
}
json.dump({"tables": result, "csv": csv}, sys.stdout)
