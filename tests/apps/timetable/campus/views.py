"""The registry's REST routes. Each fetch_*() is what the document wraps in its cache."""
import json

from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from watched import did, look, reset, takes, turn

from .models import Course, CourseOffering, Faculty, Room, Student, TimetableConfig


def fetch_departments(org):
    takes(30)
    return list(Course.objects.filter(org_id=org).order_by("dept_id").values_list("dept_id", flat=True)
                .distinct())


def fetch_courses(org, semester=None):
    takes(180)
    offerings = CourseOffering.objects.filter(course__org_id=org).order_by("id")
    if semester is not None:
        offerings = offerings.filter(semester=semester)
    return list(offerings.values("course__course_id", "course__title", "course__dept_id",
                                 "course__credits", "semester", "seats"))


def fetch_faculty(org):
    takes(45)
    return list(Faculty.objects.filter(org_id=org).order_by("id").values())


def fetch_rooms(org):
    takes(35)
    return list(Room.objects.filter(org_id=org).order_by("id").values())


def fetch_students(org):
    takes(250)
    return list(Student.objects.filter(org_id=org).order_by("id").values())


def fetch_time_config(org):
    """The document reads it by SQL in FastAPI; a proxy sees it only as a route."""
    takes(20)
    return TimetableConfig.objects.filter(org_id=org, is_active=True).order_by("-created_at").values(
        "working_days", "slots_per_day", "start_time", "end_time", "slot_duration_minutes",
        "lunch_break_enabled", "lunch_break_start", "lunch_break_end").first()


def fetch_time_slots(org):
    takes(120)
    config = fetch_time_config(org)
    return [{"department": department, "day": day, "slot": slot}
            for department in fetch_departments(org)
            for day in range(1, config["working_days"] + 1)
            for slot in range(1, config["slots_per_day"] + 1)]


def answer(request, name, fetch, *more):
    """Of one organisation, and of no other."""
    org = request.GET.get("organization_id")
    if not org:
        return JsonResponse({"detail": "organization_id is missing"}, status=400)
    found = fetch(org, *more)
    did(name)  # whoever is held here has read already
    if not found:
        return JsonResponse({"detail": f"no organization {org}"}, status=404)
    return JsonResponse(found, safe=False)


def departments(request):
    return answer(request, "departments", fetch_departments)


def courses(request):
    semester = request.GET.get("semester")
    return answer(request, "courses", fetch_courses, *([int(semester)] if semester else []))


def faculty(request):
    return answer(request, "faculty", fetch_faculty)


def rooms(request):
    return answer(request, "rooms", fetch_rooms)


def students(request):
    return answer(request, "students", fetch_students)


def time_slots(request):
    return answer(request, "time_slots", fetch_time_slots)


def time_config(request):
    return answer(request, "config", fetch_time_config)


@csrf_exempt
@require_http_methods(["PUT"])
def update_room(request):
    body = json.loads(request.body)
    changed = Room.objects.filter(org_id=body["organization_id"], number=body["number"]).update(
        capacity=body["capacity"])
    did("update")
    if not changed:
        return JsonResponse({"detail": "no such room"}, status=404)
    return JsonResponse({"number": body["number"], "capacity": body["capacity"]})


def show_counts(request):
    return JsonResponse(look())


@csrf_exempt
def forget(request):
    return JsonResponse(reset())


@csrf_exempt
def gate(request, what, name):
    return JsonResponse(turn(what, name))


def cross_origin(get_response):
    """The frontend is served from elsewhere."""
    def respond(request):
        answer = HttpResponse(status=204) if request.method == "OPTIONS" else get_response(request)
        answer["Access-Control-Allow-Origin"] = "*"
        if request.method == "OPTIONS":
            answer["Access-Control-Allow-Methods"] = "GET, PUT, POST, OPTIONS"
            answer["Access-Control-Allow-Headers"] = "Content-Type"
        return answer
    return respond
