"""The engine: hands out the held token; flights renew it. It knows no HTTP library."""
