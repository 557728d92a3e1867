"""A Django app in one file: sessions, CSRF, login, upload, download, redirect, stream."""
import collections
import hashlib
import itertools

import django
from django.conf import settings
from django.http import (HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse)
from django.middleware.csrf import get_token
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

settings.configure(
    DEBUG=False, SECRET_KEY="only for tests", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__,
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware",
                "django.middleware.common.CommonMiddleware",
                "django.middleware.csrf.CsrfViewMiddleware"],
    DATA_UPLOAD_MAX_MEMORY_SIZE=None, USE_TZ=True)
django.setup()

counts = collections.Counter()
numbers = itertools.count(1)


def show_counts(request):
    return JsonResponse(dict(counts))


@csrf_exempt
def reset(request):
    counts.clear()
    return HttpResponse("ok")


def courses(request):
    counts["courses"] += 1
    return JsonResponse({"number": next(numbers), "org": request.GET.get("organization_id")})


def form(request):
    return HttpResponse(get_token(request))


def login(request):
    if request.POST.get("password") != "right":
        return JsonResponse({"success": False}, status=403)
    request.session["user"] = request.POST["user"]
    return HttpResponseRedirect("/me")


def me(request):
    counts["me"] += 1
    return JsonResponse({"user": request.session.get("user")})


def upload(request):
    f = request.FILES["file"]
    digest = hashlib.sha256()
    for piece in f.chunks():
        digest.update(piece)
    return JsonResponse({"name": f.name, "size": f.size, "sha256": digest.hexdigest()})


def download(request, size):
    answer = HttpResponse(b"d" * size, content_type="application/octet-stream")
    answer["Content-Disposition"] = 'attachment; filename="d.bin"'
    return answer


def stream(request):
    return StreamingHttpResponse((f"part {i}\n" for i in range(20)), content_type="text/plain")


urlpatterns = [path("_counts", show_counts), path("_reset", reset), path("api/courses", courses),
               path("form", form), path("login", login), path("me", me), path("upload", upload),
               path("download/<int:size>", download), path("stream", stream)]

from django.core.wsgi import get_wsgi_application  # noqa: E402

app = get_wsgi_application()
