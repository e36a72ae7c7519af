"""Programs that embed the client library's replica, at random; see `docs/soak.md`."""
