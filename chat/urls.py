"""The addresses of the chat side, at the root of the site."""

from __future__ import annotations

from django.urls import path

from chat import views
from chat.api import api, unknown

app_name = "chat"

urlpatterns = [
    path("", views.home, name="home"),
    path("c/<uuid:conversation_id>/", views.conversation, name="conversation"),
    path("api/state/", views.state, name="state"),
    path("api/conversations/", views.conversation_list, name="conversation-list"),
    path("api/conversations/<uuid:conversation_id>/", views.conversation_detail, name="conversation-detail"),
    path("api/conversations/<uuid:conversation_id>/rename/", views.rename, name="rename"),
    path("api/conversations/<uuid:conversation_id>/delete/", views.delete, name="delete"),
    path("api/conversations/<uuid:conversation_id>/leaf/", views.leaf, name="leaf"),
    path("v1/", api.urls),
    path("v1/<path:rest>", unknown),
]
