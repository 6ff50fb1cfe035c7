"""The catalogue's pages: server-rendered, English at `/` and Chinese at `/zh/`. `web.app.create_app` makes them."""
