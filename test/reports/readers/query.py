"""Runs the blocks of docs/data.md in a folder of runs: a list of {language, text} on stdin, a list of outputs on stdout."""
import contextlib
import io
import json
import sys

import duckdb
import pandas as pd

pd.set_option("display.width", 110)
duckdb.execute("SET threads = 1")


def run(language: str, text: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        if language == "sql":
            duckdb.sql(text).show(max_width=110)
        else:
            exec(text, {})
    return out.getvalue().rstrip() + "\n"


json.dump([run(block["language"], block["text"]) for block in json.load(sys.stdin)], sys.stdout)
