"""`python -m tf_tokclf`, and the entry point of `tf-tokclf`."""

from tf_tokclf.cli.main import main

if __name__ == "__main__":
    main()
