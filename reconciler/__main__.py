"""`python -m reconciler` is `mtlsctl`."""

from reconciler.cli import main

if __name__ == "__main__":
    main()
