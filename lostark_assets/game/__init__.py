"""The game's vocabulary: classes, specs, difficulties, raids, gates, bosses, meter versions.

English and Korean names, ids and aliases, and pure functions that recognise them. Nothing here reads files or
imports pandas or Dagster.
"""
