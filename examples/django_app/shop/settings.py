"""As small as Django's settings get. ATOMIC_REQUESTS: each view is a transaction, so `on_commit` matters in every one."""

from pathlib import Path

DEBUG = True
SECRET_KEY = "an example's: make one of your own"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "shop.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path.cwd() / "shop.db", "ATOMIC_REQUESTS": True}}
USE_TZ = True
