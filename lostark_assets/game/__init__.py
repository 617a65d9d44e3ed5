"""The game's vocabulary: classes, specs, difficulties, raids, gates, bosses, meter versions.

Words only: English, Korean, ids and aliases of things the game knows, and pure functions that recognise them.
Reading files, tables and statistics do not belong here, and nothing here imports pandas or Dagster.
"""
