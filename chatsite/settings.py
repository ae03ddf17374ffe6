"""Every Django setting, once. Values that a site owner chooses come from the environment (`env.py`)."""

from __future__ import annotations

import secrets
from typing import Any

import dj_database_url
from csp.constants import NONCE, NONE, SELF
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from chatsite.env import BASE_DIR, read_environment
from chatsite.logs import logging_config
from chatsite.queueing import JSONSerializer

ENVIRONMENT = read_environment()

# --- what belongs to this site -------------------------------------------------------------------------------------
DATA_DIR = ENVIRONMENT.data_dir
MODELS_DIR = ENVIRONMENT.models_dir
ENGINE_URL, ENGINE_SECRET = ENVIRONMENT.find_engine()
METRICS_TOKEN = ENVIRONMENT.metrics_token.get_secret_value() if ENVIRONMENT.metrics_token else ""
OPEN_SIGNUP = ENVIRONMENT.open_signup
LOW_DISK_BYTES = 200 * 1024**2
HEARTBEAT_MAX_AGE_S = 30

# --- basics ----------------------------------------------------------------------------------------------------------
DEBUG = ENVIRONMENT.debug
# Without a stored key every process makes up its own: safe, and of no use to two processes, so `up` stores one first.
SECRET_KEY = ENVIRONMENT.find_secret_key() or secrets.token_urlsafe(48)
ALLOWED_HOSTS = ENVIRONMENT.hosts
ROOT_URLCONF = "chatsite.urls"
ASGI_APPLICATION = "chatsite.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# training and chat come first so that their commands win over huey's and Django's; chatsite comes last because it makes
# the roles once every other app has its permissions; unfold must stand before the admin.
INSTALLED_APPS = [
    "training",
    "chat",
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "channels",
    "csp",
    "huey.contrib.djhuey",
    "chatsite",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "chatsite.logs.request_id_middleware",
    "chatsite.csp.PathPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.i18n",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    },
]

# --- data ------------------------------------------------------------------------------------------------------------
# IMMEDIATE takes the write lock at once: a deferred transaction that upgrades later fails with "database is locked".
SQLITE: dict[str, Any] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": DATA_DIR / "site.sqlite3",
    "OPTIONS": {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA mmap_size=134217728;"
            "PRAGMA journal_size_limit=27103364;PRAGMA cache_size=-20000;"
        ),
    },
}
DATABASES: dict[str, Any] = {"default": SQLITE}
if ENVIRONMENT.database_url:
    DATABASES["default"] = dj_database_url.parse(
        ENVIRONMENT.database_url.get_secret_value(), conn_max_age=60, conn_health_checks=True
    )

# The table is shared by all processes, so sign-in limits hold however many web processes there are.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "chatsite_cache"}}
if ENVIRONMENT.redis_url:
    CACHES["default"] = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": ENVIRONMENT.redis_url.get_secret_value(),
    }

# --- jobs ------------------------------------------------------------------------------------------------------------
HUEY: dict[str, Any] = {
    "name": "chatsite",
    "huey_class": "chatsite.queueing.QueueFile",
    "connection": {"filename": str(DATA_DIR / "huey.sqlite3"), "timeout": 20},
    "serializer": JSONSerializer(),
    "results": False,
    "immediate": False,
    "consumer": {
        "worker_type": "thread",
        "max_delay": 0.5,
        "graceful_signal": "TERM",
        "shutdown_timeout": 8,
    },
}
if ENVIRONMENT.redis_url:
    HUEY |= {
        "huey_class": "huey.PriorityRedisHuey",
        "connection": {"url": ENVIRONMENT.redis_url.get_secret_value()},
    }

# --- languages and time ----------------------------------------------------------------------------------------------
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "chatsite" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = ENVIRONMENT.time_zone

# --- files -----------------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
# Served straight from the apps: a start needs no collectstatic and nothing is compiled.
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_AUTOREFRESH = DEBUG
# Big uploads stay on the disk of the data directory instead of a small /tmp; `up` makes the directory.
if (DATA_DIR / "uploads").is_dir():
    FILE_UPLOAD_TEMP_DIR = DATA_DIR / "uploads"

# --- people ----------------------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = reverse_lazy("account_login")
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "chatsite.accounts.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
ALLAUTH_TRUSTED_PROXY_COUNT = ENVIRONMENT.trusted_proxies
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Chatsite"
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

# --- safety ----------------------------------------------------------------------------------------------------------
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ENVIRONMENT.https
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if ENVIRONMENT.https:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 30 * 24 * 3600
    CSRF_TRUSTED_ORIGINS = [f"https://{host.lstrip('.')}" for host in ALLOWED_HOSTS if host != "*"]

STRICT_POLICY: dict[str, Any] = {
    "default-src": [NONE],
    "script-src": [SELF, NONCE],
    "style-src": [SELF, NONCE],
    "img-src": [SELF, "data:"],
    "media-src": [SELF],
    "font-src": [SELF],
    "connect-src": [SELF],
    "manifest-src": [SELF],
    "worker-src": [SELF],
    "form-action": [SELF],
    "frame-ancestors": [NONE],
    "base-uri": [NONE],
}
CONTENT_SECURITY_POLICY = {"DIRECTIVES": STRICT_POLICY}
# unfold's Alpine evaluates expressions and sets styles; nothing outside /admin/ may.
ADMIN_URL_PREFIX = "/admin/"
ADMIN_POLICY = STRICT_POLICY | {"script-src": [SELF, "'unsafe-eval'"], "style-src": [SELF, "'unsafe-inline'"]}
SILENCED_SYSTEM_CHECKS: list[str] = []

# --- logs ------------------------------------------------------------------------------------------------------------
LOGGING = logging_config(ENVIRONMENT.log_level)

# --- the admin's look ------------------------------------------------------------------------------------------------
# The colour of the chat page; one step darker than Tailwind's teal, so that white text on 600 has enough contrast.
TEAL = {
    "50": "oklch(98.4% .014 180.7)",
    "100": "oklch(95.3% .051 180.8)",
    "200": "oklch(91% .096 180.4)",
    "300": "oklch(85.5% .138 181.1)",
    "400": "oklch(70.4% .14 182.5)",
    "500": "oklch(60% .118 184.7)",
    "600": "oklch(51.1% .096 186.4)",
    "700": "oklch(43.7% .078 188.2)",
    "800": "oklch(38.6% .063 188.4)",
    "900": "oklch(33% .055 190)",
    "950": "oklch(27.7% .046 192.5)",
}
UNFOLD = {
    "SITE_TITLE": "Chatsite",
    "SITE_HEADER": "Chatsite",
    "SITE_SUBHEADER": _("Train and improve your own model"),
    "SITE_SYMBOL": "forum",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: f"{STATIC_URL}chat/icon.svg"},
    ],
    "SITE_URL": "/",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "DASHBOARD_CALLBACK": "chatsite.dashboard.add_loop",
    "SIDEBAR": {"navigation": "chatsite.dashboard.navigation"},
    "COLORS": {"primary": TEAL},
    "STYLES": [lambda _request: f"{STATIC_URL}training/admin.css"],
}
