"""The document's tables."""
from django.db import models


class Course(models.Model):
    org_id = models.CharField(max_length=40)
    course_id = models.CharField(max_length=20)
    dept_id = models.CharField(max_length=8)
    title = models.CharField(max_length=80)
    credits = models.IntegerField()

    class Meta:
        db_table = "courses"
        indexes = [models.Index(fields=["org_id", "dept_id"])]


class CourseOffering(models.Model):
    course = models.ForeignKey(Course, models.CASCADE)
    semester = models.IntegerField()
    seats = models.IntegerField()

    class Meta:
        db_table = "course_offerings"
        indexes = [models.Index(fields=["semester"])]


class Faculty(models.Model):
    org_id = models.CharField(max_length=40, db_index=True)
    name = models.CharField(max_length=60)
    dept_id = models.CharField(max_length=8)
    max_hours = models.IntegerField()

    class Meta:
        db_table = "faculty"


class Room(models.Model):
    org_id = models.CharField(max_length=40, db_index=True)
    number = models.CharField(max_length=20)
    building = models.CharField(max_length=40)
    capacity = models.IntegerField()

    class Meta:
        db_table = "rooms"


class Student(models.Model):
    org_id = models.CharField(max_length=40, db_index=True)
    roll_number = models.CharField(max_length=20)
    name = models.CharField(max_length=60)
    dept_id = models.CharField(max_length=8)
    semester = models.IntegerField()
    email = models.CharField(max_length=80)

    class Meta:
        db_table = "students"


class TimetableConfig(models.Model):
    org_id = models.CharField(max_length=40)
    working_days = models.IntegerField()
    slots_per_day = models.IntegerField()
    start_time = models.CharField(max_length=5)
    end_time = models.CharField(max_length=5)
    slot_duration_minutes = models.IntegerField()
    lunch_break_enabled = models.BooleanField()
    lunch_break_start = models.CharField(max_length=5)
    lunch_break_end = models.CharField(max_length=5)
    is_active = models.BooleanField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "timetable_config"
        indexes = [models.Index(fields=["org_id", "is_active", "created_at"])]
