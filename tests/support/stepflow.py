# SPDX-License-Identifier: MIT
"""StepFlow Monitor as a storage folder sees it: its tables, its way of writing and reading rows and logs.

Written from a description of its behaviour: INSERT OR REPLACE, SELECT * read by position, naive ISO times whose zero
fraction is dropped, json.dumps with default arguments, a step's log rewritten whole. Like it, reading raises where a
value is not what it expects.
"""

import json
import sqlite3
from datetime import datetime
from pathlib import Path

EXECUTION_STATES = {"pending", "running", "completed", "failed", "cancelled"}
STEP_STATES = {"pending", "running", "completed", "failed", "skipped"}

EXECUTIONS = """CREATE TABLE IF NOT EXISTS executions (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, command TEXT NOT NULL, working_directory TEXT, status TEXT NOT NULL,
    exit_code INTEGER, error_message TEXT, created_at TEXT NOT NULL, started_at TEXT, completed_at TEXT,
    environment TEXT, user_name TEXT, tags TEXT, total_steps INTEGER DEFAULT 0, completed_steps INTEGER DEFAULT 0,
    current_step_index INTEGER DEFAULT -1, metadata TEXT)"""
STEPS = """CREATE TABLE IF NOT EXISTS steps (
    id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, name TEXT NOT NULL, description TEXT, step_index INTEGER NOT NULL,
    status TEXT NOT NULL, exit_code INTEGER, error_message TEXT, created_at TEXT NOT NULL, started_at TEXT,
    completed_at TEXT, estimated_duration REAL, {stop_on_error} metadata TEXT,
    FOREIGN KEY (execution_id) REFERENCES executions (id))"""
ARTIFACTS = """CREATE TABLE IF NOT EXISTS artifacts (
    id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, step_id TEXT, name TEXT NOT NULL, description TEXT,
    file_path TEXT NOT NULL, file_name TEXT, file_size INTEGER DEFAULT 0, mime_type TEXT, artifact_type TEXT,
    created_at TEXT NOT NULL, tags TEXT, is_public BOOLEAN DEFAULT 1, retention_days INTEGER, metadata TEXT,
    FOREIGN KEY (execution_id) REFERENCES executions (id), FOREIGN KEY (step_id) REFERENCES steps (id))"""
INDEXES = ["idx_executions_status ON executions(status)", "idx_executions_created_at ON executions(created_at)",
           "idx_executions_user ON executions(user_name)", "idx_steps_execution_id ON steps(execution_id)",
           "idx_steps_status ON steps(status)", "idx_artifacts_execution_id ON artifacts(execution_id)",
           "idx_artifacts_step_id ON artifacts(step_id)"]


def iso(time):
    """A time column, or None."""
    return time.isoformat() if time else None


def time_of(text):
    """Read a time column; raises for what Python does not understand."""
    return datetime.fromisoformat(text) if text else None


class StepFlow:
    """One connection to a storage folder."""

    def __init__(self, root, old=False):
        self.root = Path(root)
        for folder in (self.root, self.root / "database", self.root / "executions", self.root / "artifacts"):
            folder.mkdir(exist_ok=True)
        self.db = sqlite3.connect(self.root / "database" / "stepflow.db")
        if not old:
            self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute(EXECUTIONS)
        self.db.execute(STEPS.format(stop_on_error="" if old else "stop_on_error BOOLEAN DEFAULT 0,"))
        self.db.execute(ARTIFACTS)
        for index in INDEXES:
            self.db.execute(f"CREATE INDEX IF NOT EXISTS {index}")
        self.db.commit()

    def close(self):
        """Close the connection."""
        self.db.close()

    def save_execution(self, **e):
        """Save one row, replacing an old one."""
        self.db.execute(
            "INSERT OR REPLACE INTO executions VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (e["id"], e["name"], e["command"], e.get("working_directory", ""), e["status"], e.get("exit_code"),
             e.get("error_message"), iso(e["created_at"]), iso(e.get("started_at")), iso(e.get("completed_at")),
             json.dumps(e.get("environment", {})), e.get("user", ""), json.dumps(e.get("tags", [])),
             e.get("total_steps", 0), e.get("completed_steps", 0), e.get("current_step_index", -1),
             json.dumps(e.get("metadata", {}))))
        self.db.commit()

    def save_step(self, logs=(), **s):
        """Save one row and, after the commit, its log file."""
        self.db.execute(
            "INSERT OR REPLACE INTO steps (id, execution_id, name, description, step_index, status, exit_code, "
            "error_message, created_at, started_at, completed_at, estimated_duration, stop_on_error, metadata) "
            "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (s["id"], s["execution_id"], s["name"], s.get("description", ""), s["index"], s["status"],
             s.get("exit_code"), s.get("error_message"), iso(s["created_at"]), iso(s.get("started_at")),
             iso(s.get("completed_at")), s.get("estimated_duration"), s.get("stop_on_error", False),
             json.dumps(s.get("metadata", {}))))
        self.db.commit()
        if logs:
            path = self.log_path(s["execution_id"], s["index"], s["id"])
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(f"[{iso(time)}] {content}\n" for time, content in logs), encoding="utf-8")

    def save_artifact(self, **a):
        """Save one row; the file is up to the caller."""
        self.db.execute(
            "INSERT OR REPLACE INTO artifacts VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (a["id"], a["execution_id"], a.get("step_id"), a["name"], a.get("description", ""), a["file_path"],
             a.get("file_name", ""), a.get("file_size", 0), a.get("mime_type", ""), a.get("artifact_type", "other"),
             iso(a["created_at"]), json.dumps(a.get("tags", [])), a.get("is_public", True), a.get("retention_days"),
             json.dumps(a.get("metadata", {}))))
        self.db.commit()

    def log_path(self, execution_id, index, step_id):
        """Return where a step's log is."""
        return self.root / "executions" / execution_id / f"step_{index}_{step_id}.log"

    def executions(self):
        """Read all rows, by position."""
        rows = self.db.execute("SELECT * FROM executions ORDER BY created_at DESC").fetchall()
        return [self.execution(row) for row in rows]

    @staticmethod
    def execution(row):
        """Read one row, by position."""
        if row[4] not in EXECUTION_STATES:
            raise ValueError(f"{row[4]!r} is no status")
        return {"id": row[0], "name": row[1], "command": row[2], "working_directory": row[3], "status": row[4],
                "exit_code": row[5], "error_message": row[6], "created_at": time_of(row[7]),
                "started_at": time_of(row[8]), "completed_at": time_of(row[9]),
                "environment": json.loads(row[10]) if row[10] else {}, "user": row[11],
                "tags": json.loads(row[12]) if row[12] else [], "total_steps": row[13], "completed_steps": row[14],
                "current_step_index": row[15], "metadata": json.loads(row[16]) if row[16] else {}}

    def steps(self, execution_id):
        """Read an execution's steps with their logs, by position."""
        rows = self.db.execute("SELECT * FROM steps WHERE execution_id = ? ORDER BY step_index",
                               (execution_id,)).fetchall()
        return [self.step(row) for row in rows]

    def step(self, row):
        """Read one row, by position."""
        if row[5] not in STEP_STATES:
            raise ValueError(f"{row[5]!r} is no status")
        return {"id": row[0], "name": row[2], "index": row[4], "status": row[5], "exit_code": row[6],
                "error_message": row[7], "created_at": time_of(row[8]), "started_at": time_of(row[9]),
                "completed_at": time_of(row[10]), "estimated_duration": row[11], "stop_on_error": bool(row[12]),
                "metadata": json.loads(row[13]) if row[13] else {}, "logs": self.logs(row[1], row[4], row[0])}

    def logs(self, execution_id, index, step_id):
        """Read a step's log; lines that are no entries are skipped."""
        path = self.log_path(execution_id, index, step_id)
        logs = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            stamp, found, content = line.strip().partition("] ")
            if found and stamp.startswith("["):
                logs.append((datetime.fromisoformat(stamp[1:]), content))
        return logs

    def artifacts(self, execution_id):
        """Read an execution's artifacts, by position."""
        rows = self.db.execute("SELECT * FROM artifacts WHERE execution_id = ? ORDER BY created_at",
                               (execution_id,)).fetchall()
        return [{"id": row[0], "step_id": row[2], "name": row[3], "description": row[4], "file_path": row[5],
                 "file_name": row[6], "file_size": row[7], "mime_type": row[8], "artifact_type": row[9],
                 "created_at": time_of(row[10]), "tags": json.loads(row[11]), "is_public": bool(row[12]),
                 "retention_days": row[13], "metadata": json.loads(row[14])} for row in rows]

    def dump(self):
        """Return every row of the three tables, for a comparison."""
        return {table: self.db.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid").fetchall()
                for table in ("executions", "steps", "artifacts")}

    def schema(self):
        """Return how the three tables and their indexes were created."""
        return self.db.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'weir%' AND "
                               "name NOT LIKE 'sqlite%' ORDER BY name").fetchall()
