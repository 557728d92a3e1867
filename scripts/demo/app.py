"""The demo's app: slow, and silent about caching, as many are."""
import time

from flask import Flask, jsonify, request

app = Flask(__name__)


@app.get("/api/courses")
def courses():
    time.sleep(0.3)  # the slow query this cache is for
    return jsonify(organization_id=request.args.get("organization_id"),
                   semester=request.args.get("semester"), generated_at=time.time())
