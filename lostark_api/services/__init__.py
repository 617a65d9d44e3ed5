"""What the routes share beside the database: the active champion, API keys, uploads, offered logs."""
