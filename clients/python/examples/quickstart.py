"""Stores two documents, asks a question, streams another, and cleans up.

    python examples/quickstart.py http://127.0.0.1:8080 [KEY]
"""

import sys

from needle_client import Needle, NeedleError

INDEX = "python-quickstart"


def main(url: str, key: str | None) -> None:
    with Needle(url, key=key) as needle:
        try:
            needle.create_index(INDEX)
        except NeedleError as error:
            if error.code != "index_exists":
                raise
        for result in needle.bulk(
            INDEX,
            [
                {"id": "memo/boiler", "text": "The boiler in Brno is inspected every April by Jana Dvorakova.", "metadata": {"site": "brno"}},
                {"id": "memo/canteen", "text": "The canteen in Delft was painted by Osric Penhaligon.", "metadata": {"site": "delft"}},
            ],
        ):
            print(result["id"], result["status"])

        answers = needle.ask("Who inspects the boiler in Brno?", index=INDEX)
        for answer in answers["answers"]:
            print(f'{answer["text"]} ({answer["probability"]:.2f}), from {answer["document_id"]}')

        for event in needle.ask_stream("Who painted the canteen?", index=INDEX, filter={"field": "site", "equals": "delft"}):
            if event["event"] == "complete":
                print("at last:", [a["text"] for a in event["data"]["answers"]])

        needle.delete_index(INDEX)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080", sys.argv[2] if len(sys.argv) > 2 else None)
