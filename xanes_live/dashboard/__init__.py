"""The operator's page: a small web server that reads results from Tiled and shows them."""
