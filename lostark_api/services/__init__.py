"""Services that the routes share: the active champion, API keys, uploads, offered logs."""
