"""The school with its document's utils/cache_manager.py: @cached over its functions, Redis, and memory when Redis is
away. What goes to Redis is kept in memory too, so that it is there when Redis goes: the document does not say."""
import functools
import json
import os
import threading
import time

import redis

import plain
from plain import app  # noqa: F401 (gunicorn's)
import records


class CacheManager:
    def __init__(self, redis_client):
        self.redis_client = redis_client
        self.memory = {}
        self.lock = threading.Lock()

    def get(self, key):
        try:
            found = self.redis_client.get(key)
            return None if found is None else json.loads(found)
        except redis.RedisError:
            with self.lock:
                ends, value = self.memory.get(key, (0, None))
            return value if time.time() < ends else None

    def set(self, key, value, ttl):
        with self.lock:
            self.memory[key] = (time.time() + ttl, value)
        try:
            self.redis_client.set(key, json.dumps(value), px=int(ttl * 1000))
        except redis.RedisError:
            pass


cache = CacheManager(redis.Redis(host=os.environ["REDIS_HOST"], port=int(os.environ["REDIS_PORT"]), socket_timeout=1,
                                 socket_connect_timeout=1))


def cached(kind, ttl=1800):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args):
            key = ":".join((kind, *args))
            found = cache.get(key)
            if found is None:
                found = function(*args)
                cache.set(key, found, plain.ttl_s(ttl))
            return found
        return wrapper
    return decorate


records.get_students_by_class = cached("students", ttl=1800)(records.get_students_by_class)
records.get_analytics = cached("analytics", ttl=1800)(records.get_analytics)
records.get_configuration = cached("configuration", ttl=1800)(records.get_configuration)
