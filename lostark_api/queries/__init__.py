"""Questions to the marts, for routes and pages alike. Each takes a snapshot and gives plain rows.

What does not belong here: HTTP, languages and caches.
"""
