"""Calls every method on a live server.

    NEEDLE_URL=http://127.0.0.1:8080 NEEDLE_KEY=... python -m unittest discover tests

The key must be one of an administrator.
"""

import io
import os
import re
import runpy
import sys
import time
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE / "src"))

from needle_client import Needle, NeedleError, NeedleUnreachable  # noqa: E402
from needle_client.transport import events  # noqa: E402

URL = os.environ.get("NEEDLE_URL", "")
KEY = os.environ.get("NEEDLE_KEY") or None
INDEX = "python-test"

#: Operations that are no methods: other paths of rerank, and the web page.
NO_METHOD = {"rerankV2", "rerankBare", "page"}


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class EventsTest(unittest.TestCase):
    def test_events(self) -> None:
        lines = [b": hello\n", b"event: a\n", b'data: {"x":\n', b"data: 1}\n", b"\n", b"data: 2\r\n", b"\r\n", b"data: 3\n"]
        self.assertEqual(list(events(lines)), [("a", {"x": 1}), ("message", 2)])

    def test_addresses(self) -> None:
        for address in ("localhost:8080", "ftp://localhost", "http://", "http://localhost/?a=b"):
            with self.subTest(address), self.assertRaises(ValueError):
                Needle(address)

    def test_nobody_there(self) -> None:
        with self.assertRaises(NeedleUnreachable):
            Needle("http://127.0.0.1:1").healthz()


@unittest.skipUnless(URL, "NEEDLE_URL names no server")
class LiveTest(unittest.TestCase):
    def setUp(self) -> None:
        self.needle = Needle(URL, key=KEY)
        self.addCleanup(self.needle.close)
        self.drop(INDEX, INDEX + "-2")
        self.addCleanup(self.drop, INDEX, INDEX + "-2")
        self.needle.create_index(INDEX)

    def drop(self, *names: str) -> None:
        for name in names:
            try:
                self.needle.delete_index(name)
            except NeedleError as error:
                self.assertEqual(error.code, "index_not_found")

    def test_every_operation_has_a_method(self) -> None:
        operations = {
            member["operationId"]
            for path in self.needle.openapi()["paths"].values()
            for member in path.values()
            if isinstance(member, dict) and "operationId" in member
        }
        self.assertGreater(len(operations), 30)
        for name in sorted(operations - NO_METHOD):
            self.assertTrue(callable(getattr(Needle, snake(name), None)), f"{name}: Needle has no method {snake(name)}")

    def test_documents(self) -> None:
        n = self.needle
        put = n.put_document(INDEX, "a/ü b?#%", {"text": "The boiler in Brno is inspected by Jana Dvorakova.", "metadata": {"year": 2024, "site": "brno"}})
        self.assertEqual((put["id"], put["status"]), ("a/ü b?#%", "created"))
        stored = n.get_document(INDEX, "a/ü b?#%")
        self.assertEqual(stored["metadata"], {"year": 2024, "site": "brno"})
        with self.assertRaises(NeedleError) as refused:
            n.put_document(INDEX, "a/ü b?#%", {"text": "other"}, if_match='"wrong"')
        self.assertEqual(refused.exception.status, 412)
        self.assertEqual(n.put_document(INDEX, "a/ü b?#%", stored, if_match=stored["etag"])["status"], "unchanged")
        with self.assertRaises(NeedleError) as refused:
            n.put_document(INDEX, "a/ü b?#%", {"text": "other"}, if_none_match="*")
        self.assertEqual(refused.exception.status, 412)
        for name in (".", "..", "a//b", "/", "x/../y"):
            with self.subTest(name):
                n.put_document(INDEX, name, {"text": "odd"})
                self.assertEqual(n.get_document(INDEX, name)["id"], name)
                n.delete_document(INDEX, name)
        once = n.add_document(INDEX, {"id": "b", "text": "Second."}, idempotency_key="k1")
        again = n.add_document(INDEX, {"id": "b", "text": "Second."}, idempotency_key="k1")
        self.assertEqual(once, again)
        results = list(n.bulk(INDEX, ({"id": f"bulk-{i}", "text": f"Line {i}."} if i != 3 else {"id": "bad", "text": ""} for i in range(1203))))
        self.assertEqual([r["line"] for r in results], list(range(1, 1204)))
        self.assertEqual([r["line"] for r in results if r["status"] != "created"], [4])
        self.assertEqual(results[3]["error"]["status"], 400)
        ids = [d["id"] for d in n.list_documents(INDEX, page=500)]
        self.assertEqual(len(ids), 1204)
        self.assertEqual(ids, sorted(ids))
        self.assertEqual(n.delete_documents(INDEX, ["bulk-1", "absent", "a/ü b?#%"]), 2)
        with self.assertRaises(NeedleError) as gone:
            n.get_document(INDEX, "a/ü b?#%")
        self.assertEqual(gone.exception.code, "document_not_found")
        n.delete_document(INDEX, "b")
        files = n.upload_files(INDEX, {'note "1".md': b"# Canteen\n\nPainted by Osric Penhaligon.", "broken.pdf": b"%PDF-1.7"}, groups=["staff"])
        self.assertEqual([len(f["documents"]) for f in files], [1, 0])
        self.assertTrue(files[1]["faults"])

    def test_questions(self) -> None:
        n = self.needle
        text = "The boiler in Brno is inspected every April by Jana Dvorakova."
        n.add_document(INDEX, {"id": "boiler", "text": text, "metadata": {"site": "brno"}})
        n.add_document(INDEX, {"id": "canteen", "text": "The canteen was painted by Osric Penhaligon.", "metadata": {"site": "delft"}})
        result = n.ask("Who inspects the boiler in Brno?", index=INDEX, top_k=2, explain=True)
        self.assertTrue(result["answerable"])
        best = result["answers"][0]
        self.assertEqual(best["text"], "Jana Dvorakova")
        self.assertEqual(text[best["start"] : best["end"]], best["text"])
        filtered = n.ask("Who inspects the boiler in Brno?", index=INDEX, filter={"field": "site", "equals": "delft"}, include_rejected=True)
        self.assertNotIn("boiler", [a["document_id"] for a in filtered["answers"]])
        seen = list(n.ask_stream("Who painted the canteen?", index=INDEX))
        self.assertEqual(seen[-1]["event"], "complete")
        self.assertEqual(seen[-1]["data"]["answers"][0]["text"], "Osric Penhaligon")
        # One that is left early does not spoil the next request.
        next(n.ask_stream("Who painted the canteen last year?", index=INDEX))
        hits = n.search("canteen", index=INDEX, facets=["site"])["hits"]
        self.assertEqual([h["document_id"] for h in hits], ["canteen"])
        read = n.read("Who inspects the boiler in Brno?", [{"id": "x", "text": text}])
        self.assertEqual(read["answers"][0]["document_id"], "x")
        ranked = n.rerank("Who inspects the boiler?", ["The canteen is blue.", text], top_n=1, return_documents=True)
        self.assertEqual(ranked["results"][0]["index"], 1)
        try:
            n.predict("embedding", ["text"])
        except NeedleError as error:  # the bundle may lack the head
            self.assertLess(error.status, 500)
        with self.assertRaises(NeedleError) as refused:
            n.ask("", index=INDEX)
        self.assertEqual(refused.exception.status, 400)
        self.assertTrue(refused.exception.request_id)

        said = n.add_feedback("Who inspects the boiler in Brno?", "correct", index=INDEX, document_id="boiler", answer=best["text"], start=best["start"], end=best["end"])
        cases = list(n.list_feedback(INDEX))
        self.assertEqual(len(cases), 1)
        self.assertEqual(n.get_feedback_case(cases[0]["id"], INDEX)["question"], "Who inspects the boiler in Brno?")
        self.assertEqual(n.review_feedback([said], "accept", index=INDEX)["reviewed"], 1)
        squad = n.export_feedback(INDEX)
        self.assertEqual(squad["data"][0]["paragraphs"][0]["qas"][0]["answers"][0]["text"], "Jana Dvorakova")
        archive = io.BytesIO()
        self.assertEqual(n.export_feedback_beir(archive, INDEX), len(archive.getvalue()))
        self.assertTrue(archive.getvalue().startswith(b"PK"))

    def test_indexes(self) -> None:
        n = self.needle
        n.declare_fields(INDEX, {"year": "number"})
        n.add_document(INDEX, {"id": "a", "text": "One document."})
        self.assertIn(INDEX, [i["name"] for i in n.list_indexes()])
        self.assertEqual(n.get_index(INDEX)["documents"], 1)
        n.verify_index(INDEX)
        self.assertEqual(n.compact_index(INDEX)["index"], INDEX)
        backup = io.BytesIO()
        size = n.backup_index(INDEX, backup)
        self.assertEqual(size, len(backup.getvalue()))
        backup.seek(0)
        self.assertEqual(n.restore_index(INDEX + "-2", backup)["documents"], 1)
        n.add_document(INDEX + "-2", {"id": "b", "text": "Another."})
        n.swap_index(INDEX, INDEX + "-2")
        self.assertEqual(n.get_index(INDEX)["documents"], 2)
        n.start_rebuild(INDEX)
        for _ in range(100):
            state = n.rebuild_status(INDEX)["state"]
            if state != "running":
                break
            time.sleep(0.1)
        self.assertEqual(state, "done")

    def test_administration(self) -> None:
        n = self.needle
        key = n.create_key("python", ["search:" + INDEX], rate=1000, burst=5)
        self.assertTrue(key["key"].startswith("needle_"))
        with Needle(URL, key=key["key"]) as narrow:
            narrow.search("anything", index=INDEX)
            with self.assertRaises(NeedleError) as refused:
                narrow.list_keys()
            self.assertEqual(refused.exception.status, 403)
            self.assertEqual(n.revoke_key(key["id"])["status"], "revoked")
            with self.assertRaises(NeedleError) as refused:
                narrow.search("anything", index=INDEX)
            self.assertEqual(refused.exception.status, 401)
        self.assertIn(key["id"], [k["id"] for k in n.list_keys()])
        self.assertEqual(n.list_models()[0]["role"], "reader")
        with self.assertRaises(NeedleError):
            n.use_model("no-such-model")
        health: Any = n.healthz()
        self.assertEqual(health["status"], "alive")
        self.assertTrue(health["version"])
        self.assertEqual(n.readyz()["status"], "ready")
        self.assertIn("needle_build_info", n.metrics())

    def test_example(self) -> None:
        out = io.StringIO()
        with redirect_stdout(out):
            runpy.run_path(str(HERE / "examples" / "quickstart.py"))["main"](URL, KEY)
        self.assertIn("Jana Dvorakova (", out.getvalue())
        self.assertIn("at last: ['Osric Penhaligon'", out.getvalue())


if __name__ == "__main__":
    unittest.main()
