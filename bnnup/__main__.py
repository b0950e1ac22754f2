from bnnup.cli import main

main()
