"""The timetable's FastAPI with its document's CacheManager in the DjangoAPIClient: Redis first, then memory."""
import fnmatch
import hashlib
import json
import os
import time

import redis

import plain
from plain import app, module  # noqa: F401 (uvicorn's)


class CacheManager:
    cache_ttl = {'courses': 1800, 'faculty': 3600, 'rooms': 3600, 'students': 1800, 'time_slots': 7200,
                 'config': 86400, 'departments': 7200}
    max_cache_size = 100  # Keep last 100 items in memory
    cleanup_threshold = 20  # Remove 20 oldest when full

    def __init__(self, redis_client):
        self.redis_client, self.memory = redis_client, {}

    def _key(self, resource, org_id, **params):
        key = ":".join((resource, org_id, *(f"{k}:{v}" for k, v in sorted(params.items()) if v is not None)))
        return key if len(key) <= 200 else f"{resource}:{hashlib.md5(key.encode()).hexdigest()}"

    async def get(self, resource, org_id, **params):
        key = self._key(resource, org_id, **params)
        try:
            found = self.redis_client.get(key)
            if found is not None:
                return json.loads(found)
        except redis.RedisError:
            pass
        ends, value = self.memory.get(key, (0, None))
        return value if time.time() < ends else None

    async def set(self, resource, org_id, data, ttl=None, **params):
        key, ttl = self._key(resource, org_id, **params), plain.ttl_s(ttl or self.cache_ttl[resource])
        if len(self.memory) >= self.max_cache_size:
            for oldest in list(self.memory)[:self.cleanup_threshold]:
                del self.memory[oldest]
        self.memory[key] = (time.time() + ttl, data)
        try:
            self.redis_client.psetex(key, int(ttl * 1000), json.dumps(data))
        except redis.RedisError:
            pass

    async def invalidate_pattern(self, pattern):
        for key in list(self.memory):
            if fnmatch.fnmatch(key, pattern):
                del self.memory[key]
        try:
            for key in self.redis_client.scan_iter(pattern):
                self.redis_client.delete(key)
        except redis.RedisError:
            pass


class CachingClient(module.DjangoAPIClient):
    NAMES = {"time-slots": "time_slots", "time-config": "config"}

    def __init__(self, base_url, redis_client):
        super().__init__(base_url)
        self.cache_manager = CacheManager(redis_client)

    async def fetch(self, resource, org_id, **more):
        """Of each fetch_...(): check cache first, then fetch, then cache the result."""
        name = self.NAMES.get(resource, resource)
        found = await self.cache_manager.get(name, org_id, **more)
        if found is None:
            found = await super().fetch(resource, org_id, **more)
            await self.cache_manager.set(name, org_id, found, **more)
        return found


module.client = CachingClient(os.environ["DJANGO_BASE_URL"], redis.Redis.from_url(
    os.environ["REDIS_URL"], socket_timeout=1, socket_connect_timeout=1))


@app.post("/api/cache/invalidate")
async def invalidate(body: dict):
    resource = "*" if body["resource_type"] == "all" else body["resource_type"]
    await module.client.cache_manager.invalidate_pattern(f"{resource}:{body['organization_id']}*")
    return {"status": "success", "message": f"{body['resource_type']} cache invalidated",
            "organization_id": body["organization_id"]}
