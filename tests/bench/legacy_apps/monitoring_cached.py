"""The monitoring API with its document's MetricsCache and ConnectionPool."""
import functools
import time

import plain
from plain import app, module


class MetricsCache:
    """In-memory cache with TTL support"""

    def __init__(self):
        self.cache = {}
        self.ttl = {}
        self.hits = self.misses = 0
        self.times = {True: [], False: []}

    def get(self, key):
        if key in self.cache:
            if time.time() < self.ttl[key]:
                self.hits += 1
                return self.cache[key]  # Cache hit
            else:
                del self.cache[key]  # Expired
                del self.ttl[key]
        self.misses += 1
        return None  # Cache miss

    def set(self, key, value, ttl_seconds):
        self.cache[key] = value
        self.ttl[key] = time.time() + ttl_seconds


class ConnectionPool:
    """Database connection pool"""

    def __init__(self, max_connections=20):
        self.max_connections = max_connections
        self.active = []
        self.idle = []
        self.requests = self.reused = 0

    def create_connection(self):
        return object()

    def get_connection(self):
        self.requests += 1
        if self.idle:
            self.reused += 1
            conn = self.idle.pop()  # Reuse
        elif len(self.active) < self.max_connections:
            conn = self.create_connection()  # New
        else:
            raise Exception("Max connections reached")
        self.active.append(conn)  # the document leaves it out, and could give none back
        return conn

    def release_connection(self, conn):
        self.active.remove(conn)
        self.idle.append(conn)  # Return to pool


metrics_cache = MetricsCache()
pool = ConnectionPool(max_connections=20)
TTL = {"/metrics/current": 5, "/metrics/summary": 10, "/alerts/active": 30, "/metrics/history": 60}
query = module.query


async def pooled_query(table):
    conn = pool.get_connection()
    try:
        return await query(table)
    finally:
        pool.release_connection(conn)


def through(path):
    def wrap(endpoint):
        @functools.wraps(endpoint)
        async def cached(**arguments):
            began = time.perf_counter()
            key = (path, *sorted(arguments.items()))
            answer = found = metrics_cache.get(key)
            if found is None:
                answer = await endpoint(**arguments)
                metrics_cache.set(key, answer, plain.ttl_s(TTL[path]))
            metrics_cache.times[found is not None].append(time.perf_counter() - began)
            return answer
        return cached
    return wrap


def average_ms(times):
    return round(sum(times) / len(times) * 1000) if times else 0


module.query = pooled_query
for path in TTL:
    plain.rewrap(app, path, through(path))


def hit_rate():
    return round(100 * metrics_cache.hits / max(metrics_cache.hits + metrics_cache.misses, 1), 1)


@app.get("/performance/cache")
async def performance_cache():
    return {"cache_enabled": True, "total_requests": metrics_cache.hits + metrics_cache.misses,
            "cache_hits": metrics_cache.hits, "cache_misses": metrics_cache.misses, "hit_rate": hit_rate(),
            "cache_size": len(metrics_cache.cache),
            "ttl_seconds": {"metrics_current": 5, "metrics_summary": 10, "alerts": 30}}


@app.get("/performance/connections")
async def performance_connections():
    return {"pool_enabled": True, "max_connections": pool.max_connections, "active_connections": len(pool.active),
            "idle_connections": len(pool.idle), "total_requests": pool.requests,
            "connection_reuse_rate": round(100 * pool.reused / max(pool.requests, 1), 1)}


@app.get("/performance/summary")
async def performance_summary():
    cached, uncached = average_ms(metrics_cache.times[True]), average_ms(metrics_cache.times[False])
    return {"cache": {"hit_rate": hit_rate(), "total_requests": metrics_cache.hits + metrics_cache.misses},
            "connections": {"active": len(pool.active)},
            "response_times": {"avg_cached": cached, "avg_uncached": uncached}}
