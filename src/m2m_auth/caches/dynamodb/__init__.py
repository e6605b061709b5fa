"""DynamoDB as a token cache."""

from .dynamodb_token_cache import DynamoDBTokenCache

__all__ = ["DynamoDBTokenCache"]
