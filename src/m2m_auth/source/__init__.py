"""The engine: hands out the held token, and has flights keep it good. It knows no HTTP library."""
