mock_provider "aws" {}

variables {
  name          = "chatbot"
  recovery_days = 0
}

run "the_token_never_passes_through_the_state" {
  assert {
    condition     = output.name == "chatbot/hf-token"
    error_message = "The secret is not named after the deployment."
  }

  assert {
    condition     = aws_secretsmanager_secret_version.token.secret_string == null
    error_message = "The state holds a secret value."
  }

  assert {
    condition     = aws_secretsmanager_secret_version.token.version_stages == toset(["AWSCURRENT", "TERRAFORM"])
    error_message = "Without a label of its own, AWS deletes Terraform's version after two tokens, and the next apply would unset the token."
  }
}

run "it_is_kept_as_long_as_the_settings_say" {
  variables {
    recovery_days = 7
  }

  assert {
    condition     = aws_secretsmanager_secret.token.recovery_window_in_days == 7
    error_message = "recovery_days is not used."
  }
}

run "wrong_numbers_are_refused" {
  command = plan

  variables {
    recovery_days = 3
  }

  expect_failures = [var.recovery_days]
}
