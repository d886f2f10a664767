"""The long-running service and everything that composes the layers below it."""
