"""`python -m hdex.node.cli`: the same as the `hdex` command."""

from hdex.node.cli.main import main

main()
