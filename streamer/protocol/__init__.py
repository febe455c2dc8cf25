"""The wire protocol: messages, close codes, error codes and the AsyncAPI document."""
