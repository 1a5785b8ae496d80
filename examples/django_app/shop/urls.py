"""The three addresses that the page asks."""

from django.urls import path

from shop import views

urlpatterns = [path("", views.page), path("jobs", views.submit), path("jobs/<int:number>", views.progress)]
