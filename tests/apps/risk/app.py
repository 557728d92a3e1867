"""Supply-chain risk assessments: two models, about seven seconds for one assessment (LEGACY_DELAY scales them). Flask
under gunicorn, at Heroku; as its authors wrote it, less cache_manager.py.

The document names no route, so there is each kind: parameters in the query, in the path, and in a JSON body.
"""
import pathlib
import sys

from flask import Flask, abort, jsonify, request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import flask_probe  # noqa: E402

from exiobase_model import ExiobaseModel  # noqa: E402
from oecd_icio_model import OECDICIOModel  # noqa: E402

app = Flask(__name__)
flask_probe.add_to(app)
MODELS = {model.name: model for model in (OECDICIOModel(), ExiobaseModel())}


def assessment(model, country, sector):
    if model not in MODELS or not country or not sector:
        abort(400)
    return MODELS[model].assess(country.upper(), sector.upper())


def of(values):
    return values.get("model", "oecd"), values.get("country", ""), values.get("sector", "")


@app.errorhandler(400)
def on_bad_request(error):
    return jsonify(success=False, error="model, country and sector are needed"), 400


@app.get("/api/assess")
def assess():
    return jsonify(assessment(*of(request.args)))


@app.get("/api/assess/<model>/<country>/<sector>")
def assess_path(model, country, sector):
    return jsonify(assessment(model, country, sector))


@app.post("/api/assess")
def assess_json():
    return jsonify(assessment(*of(request.get_json())))


@app.post("/api/assess/batch")
def assess_batch():
    return jsonify(results=[assessment(*of(pair)) for pair in request.get_json()["pairs"]])


@app.get("/health")
def health():
    return jsonify(status="ok")
