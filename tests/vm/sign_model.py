"""sign_model.py FOLDER VERSION, inside a box: another version of the shipped model, signed with a new key that is pinned."""

import base64
import datetime as dt
import json
import pathlib
import shutil
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.models.shipped import shipped_bundle
from edge.models.signature import message

KEYS = pathlib.Path("/etc/kiosk-guard/keys")

key, bundle = Ed25519PrivateKey.generate(), pathlib.Path(sys.argv[1])
shutil.copytree(shipped_bundle(), bundle)
path = bundle / "manifest.json"
told = json.loads(path.read_text())
made = dt.datetime.fromisoformat(told["created_utc"]) + dt.timedelta(days=1)
path.write_text(json.dumps({**told, "version": sys.argv[2], "created_utc": made.isoformat()}))
words = {
    "public_key": key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
    "signature": key.sign(message(path.read_bytes())),
}
signature = {"algorithm": "Ed25519", **{name: base64.b64encode(value).decode() for name, value in words.items()}}
(bundle / "signature.json").write_text(json.dumps(signature))
KEYS.mkdir(exist_ok=True)
(KEYS / "operator.pub").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
