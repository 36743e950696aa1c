"""`python -m savi.cli`, for launchers such as torchrun."""

from savi.cli.main import main

if __name__ == "__main__":
    main()
