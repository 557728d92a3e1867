"""The document's DjangoAPIClient, less its CacheManager: what stands at the base URL may cache."""
import asyncio

import httpx


class DjangoAPIClient:
    def __init__(self, base_url):
        self.client = httpx.AsyncClient(base_url=base_url, timeout=60)

    async def fetch(self, resource, org_id, **more):
        answer = await self.client.get(f"/api/{resource}", params={"organization_id": org_id, **more})
        answer.raise_for_status()
        return answer.json()

    async def fetch_departments(self, org_id):
        return await self.fetch("departments", org_id)

    async def fetch_courses(self, org_id, semester=None):
        return await self.fetch("courses", org_id, **({} if semester is None else {"semester": semester}))

    async def fetch_faculty(self, org_id):
        return await self.fetch("faculty", org_id)

    async def fetch_rooms(self, org_id):
        return await self.fetch("rooms", org_id)

    async def fetch_students(self, org_id):
        return await self.fetch("students", org_id)

    async def fetch_time_slots(self, org_id):
        return await self.fetch("time-slots", org_id)

    async def fetch_time_config(self, org_id):
        return await self.fetch("time-config", org_id)

    async def fetch_all(self, org_id, semester=None):
        names = ("departments", "courses", "faculty", "rooms", "students", "time_slots")
        found = await asyncio.gather(
            self.fetch_departments(org_id), self.fetch_courses(org_id, semester),
            self.fetch_faculty(org_id), self.fetch_rooms(org_id), self.fetch_students(org_id),
            self.fetch_time_slots(org_id))
        return dict(zip(names, found))

    async def close(self):
        await self.client.aclose()
