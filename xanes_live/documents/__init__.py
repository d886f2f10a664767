"""From Bluesky documents and files to scans."""
