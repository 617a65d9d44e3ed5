"""Writes one fight as the JSON that LOA Logs uploads, from the same dictionaries as the database."""

from pathlib import Path

from isal import igzip

from lostark_simulator.entities import encounter_json
from lostark_simulator.fight import Fight
from lostark_simulator.loa_logs_rows import to_json
from lostark_simulator.views import view_fight


def write_upload_json(path: Path, fight: Fight, gzip: bool = False, uploader: int = 0) -> Path:  # noqa: FBT001, FBT002 - agreed
    """Write the upload of one of the fight's uploaders, in map form; returns the path."""
    content = to_json(encounter_json(view_fight(fight, fight.uploads[uploader])))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(igzip.compress(content, 2, mtime=0) if gzip else content)
    return path
