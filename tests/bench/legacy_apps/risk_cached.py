"""The risk assessments with their document's cache_manager.py: complete assessments, LRU, thread-safe, an hour."""
import collections
import threading
import time

from flask import jsonify

import plain
from plain import app, module

MAX_CACHE_SIZE, TTL_SECONDS = 1000, plain.ttl_s(3600)

_cache = collections.OrderedDict()
_lock = threading.Lock()
_counts = {"hits": 0, "misses": 0}


def get_assessment_from_cache(country, sector, model):
    key = f"{model}:{country}:{sector}"
    with _lock:
        found = _cache.get(key)
        if found and time.time() - found[0] < TTL_SECONDS:
            _cache.move_to_end(key)
            _counts["hits"] += 1
            return found[1]
        _cache.pop(key, None)
        _counts["misses"] += 1
        return None


def save_assessment_to_cache(country, sector, model, result):
    with _lock:
        _cache[f"{model}:{country}:{sector}"] = (time.time(), result)
        while len(_cache) > MAX_CACHE_SIZE:
            _cache.popitem(last=False)


calculate = module.assessment


def assessment(model, country, sector):
    result = get_assessment_from_cache(country.upper(), sector.upper(), model)
    if result is None:
        result = calculate(model, country, sector)
        save_assessment_to_cache(country.upper(), sector.upper(), model, result)
    return result


module.assessment = assessment


@app.get("/api/cache/stats")
def get_cache_stats():
    with _lock:
        return jsonify(cache_stats={**_counts, "cache_size": len(_cache), "max_cache_size": MAX_CACHE_SIZE,
                                    "ttl_seconds": TTL_SECONDS})


@app.post("/api/cache/clear")
def clear_cache():
    with _lock:
        _cache.clear()
    return jsonify(success=True, message="Cache cleared successfully")
