"""Fills the database: one organisation of the document's size, "123", and a small one, "uuid-456"."""
import datetime

from django.db import connection

from .models import Course, CourseOffering, Faculty, Room, Student, TimetableConfig

TABLES = (Course, CourseOffering, Faculty, Room, Student, TimetableConfig)
SIZES = {
    "123": {"departments": 127, "courses": 2494, "faculty": 645, "rooms": 1167, "students": 12500},
    "uuid-456": {"departments": 9, "courses": 60, "faculty": 25, "rooms": 40, "students": 300},
}
NAMED = ["CS", "EE", "ME", "CE", "CH", "BT", "MA", "PH", "HS"]


def department(i):
    return NAMED[i] if i < len(NAMED) else f"D{i:03}"


def fill(org, size):
    departments = [department(i) for i in range(size["departments"])]
    Course.objects.bulk_create([
        Course(org_id=org, course_id=f"{dept}{100 + i}", dept_id=dept, title=f"Course {i} of {dept}",
               credits=2 + i % 3)
        for i in range(size["courses"]) for dept in [departments[i % len(departments)]]])
    courses = list(Course.objects.filter(org_id=org).order_by("id"))
    CourseOffering.objects.bulk_create(
        [CourseOffering(course=c, semester=1, seats=30 + i % 90) for i, c in enumerate(courses)] +
        [CourseOffering(course=c, semester=2, seats=30 + i % 50) for i, c in enumerate(courses[::2])])
    Faculty.objects.bulk_create([
        Faculty(org_id=org, name=f"Dr. Faculty {i}", dept_id=departments[i % len(departments)],
                max_hours=12 + i % 8) for i in range(size["faculty"])])
    Room.objects.bulk_create([
        Room(org_id=org, number=f"R-{i:04}", building=f"Block {i % 14}", capacity=30 + i % 120)
        for i in range(size["rooms"])])
    Student.objects.bulk_create([
        Student(org_id=org, roll_number=f"2025{i:05}", name=f"Student Number {i}",
                dept_id=departments[i % len(departments)], semester=1 + i % 8,
                email=f"student{i}@{org}.campus.example") for i in range(size["students"])])
    zone = datetime.timezone.utc
    TimetableConfig.objects.bulk_create([
        TimetableConfig(org_id=org, working_days=days, slots_per_day=8, start_time="09:00",
                        end_time="17:00", slot_duration_minutes=60, lunch_break_enabled=True,
                        lunch_break_start="13:00", lunch_break_end="14:00", is_active=is_active,
                        created_at=datetime.datetime(year, 6, 1, tzinfo=zone))
        for days, is_active, year in ((5, False, 2024), (6, True, 2025))])


def make():
    """What is there already, by another start, stays."""
    if "courses" in connection.introspection.table_names():
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode=WAL")
    with connection.schema_editor() as schema:
        for table in TABLES:
            schema.create_model(table)
    for org, size in SIZES.items():
        fill(org, size)
