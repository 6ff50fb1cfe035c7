"""JSON-RPC refusals, in the codes and words that Ethereum clients know."""

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000
REVERTED = 3


class RpcError(Exception):
    """One request is refused; `data` is the revert's return value as 0x hex."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def document(self) -> dict[str, object]:
        """Return the JSON-RPC error object."""
        fields: dict[str, object] = {"code": self.code, "message": self.message}
        return fields if self.data is None else {**fields, "data": self.data}
