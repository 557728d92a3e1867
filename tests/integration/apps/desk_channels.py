"""The desk of desk_flask.py in Django, with real CSRF protection and sessions, and with Channels
for what is live: events and a WebSocket."""
import asyncio
import collections
import hashlib
import itertools

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.urls import path, re_path

settings.configure(
    DEBUG=False, SECRET_KEY="only for tests", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__,
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware",
                "django.middleware.common.CommonMiddleware",
                "django.middleware.csrf.CsrfViewMiddleware"],
    USE_TZ=True, LOGGING_CONFIG=None)
django.setup()

from channels.generic.http import AsyncHttpConsumer  # noqa: E402
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.middleware.csrf import get_token  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

counts = collections.Counter()
gates = collections.defaultdict(asyncio.Event)
numbers = itertools.count(1)


async def show_counts(request):
    return JsonResponse(dict(counts))


async def reset(request):
    counts.clear()
    for gate in gates.values():
        gate.set()
    gates.clear()
    return HttpResponse("ok")


async def open_gate(request, name):
    gates[name].set()
    return HttpResponse("ok")


reset.csrf_exempt = open_gate.csrf_exempt = True  # the decorator would hide that they are async


def courses(request):
    counts["courses"] += 1
    return JsonResponse({"number": next(numbers), "org": request.GET.get("organization_id")})


def form(request):
    return HttpResponse(get_token(request))


def login(request):
    if request.POST.get("password") != "right":
        return JsonResponse({"success": False}, status=403)
    request.session["user"] = request.POST["user"]
    return HttpResponseRedirect(request.build_absolute_uri("/me"))


def me(request):
    return JsonResponse({"user": request.session.get("user")})


@csrf_exempt
def upload(request):
    f = request.FILES["file"]
    data = f.read()
    return JsonResponse({"name": f.name, "size": f.size, "sha256": hashlib.sha256(data).hexdigest(),
                         "note": request.POST["note"]})


def stream(request):
    return StreamingHttpResponse((f"part {i}\n" for i in range(200)), content_type="text/plain")


@csrf_exempt
def echo(request):
    return JsonResponse({
        "method": request.method, "target": request.get_full_path(),
        "fields": [[n, v] for n, v in request.headers.items()],
        "sha256": hashlib.sha256(request.body).hexdigest()})


class Events(AsyncHttpConsumer):
    async def handle(self, body):
        await self.send_headers(headers=[(b"Content-Type", b"text/event-stream"),
                                         (b"Cache-Control", b"no-cache")])
        await self.send_body(b"data: 1\n\n", more_body=True)
        await gates[self.scope["url_route"]["kwargs"]["name"]].wait()
        await self.send_body(b"event: last\ndata: 2\n\n")


class Talk(AsyncWebsocketConsumer):
    async def connect(self):
        offered = self.scope["subprotocols"]
        await self.accept(subprotocol=offered[0] if offered else None)

    async def receive(self, text_data=None, bytes_data=None):
        if text_data == "end":
            await self.close(4001)
        elif text_data is not None:
            await self.send(text_data="echo " + text_data)
        else:
            await self.send(bytes_data=bytes_data)


urlpatterns = [path("_counts", show_counts), path("_reset", reset), path("_open/<name>", open_gate),
               path("api/courses", courses), path("form", form), path("login", login),
               path("me", me),
               path("upload", upload), path("stream", stream), path("echo", echo)]
app = ProtocolTypeRouter({
    "http": URLRouter([path("events/<name>", Events.as_asgi()),
                       re_path("", get_asgi_application())]),
    "websocket": URLRouter([path("ws", Talk.as_asgi())])})
