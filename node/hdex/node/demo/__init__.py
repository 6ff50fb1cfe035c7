"""The whole story on one machine: real processes, real mTLS, one throw-away directory."""
